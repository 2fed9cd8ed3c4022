# tries: have the server write through a symlink to a file and to a directory of the host (how Judge0 was taken over).
# judged by: nothing outside the home changes.
# home: yes
# writes: out.txt d/planted.txt t/planted.txt
# args: {host_dir}
ln -s "$1/written-by-link" out.txt
ln -s "$1" d
ln -s /tmp t
echo CONTAINED
