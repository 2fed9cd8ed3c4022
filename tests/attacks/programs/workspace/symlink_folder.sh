# tries: have the server walk through a linked directory when it looks for artifacts.
# judged by: nothing behind the link is brought back.
# artifacts: d/passwd d/* d/** **/*.conf up/** ok/inner.txt
# brings: ok/inner.txt
ln -s /etc d
ln -s ../../.. up
mkdir ok
echo inner >ok/inner.txt
echo CONTAINED
