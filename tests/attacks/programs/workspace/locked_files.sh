# tries: leave files and directories that their owner may not read, list or remove.
# judged by: the server removes them all the same; a home can still be listed.
# home: yes
# lists: .
# reads: locked
echo x >locked; chmod 000 locked; mkdir -p a/b/c; echo y >a/b/c/d; chmod 000 a/b/c a/b a; mkdir sticky; chmod 1111 sticky
chmod 000 . 2>/dev/null
echo CONTAINED
