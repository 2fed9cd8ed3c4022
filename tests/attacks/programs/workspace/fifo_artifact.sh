# tries: hang the server on a fifo that it opens as an artifact.
# judged by: the result comes promptly and brings nothing.
# artifacts: out.txt *.pipe
# brings:
mkfifo out.txt a.pipe || exit 1
echo CONTAINED
