# tries: have the server bring back a file of the host by a symlink of an artifact's name.
# judged by: what is brought back: the regular file only.
# artifacts: real.txt shadow.txt passwd.txt relative.txt
# brings: real.txt
echo mine >real.txt
ln -s /etc/shadow shadow.txt
ln -s /etc/passwd passwd.txt
ln -s ../../../../../../etc/passwd relative.txt
echo CONTAINED
