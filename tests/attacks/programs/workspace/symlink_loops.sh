# tries: send a walk in circles by loops of links and of directories.
# judged by: it ends at once.
# artifacts: **/* a b self/x
# brings: deep/f.txt main.sh
ln -s b a; ln -s a b; ln -s . self; mkdir deep; ln -s .. deep/up; echo f >deep/f.txt
echo CONTAINED
