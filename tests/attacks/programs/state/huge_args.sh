# tries: break the way in by as many and as long arguments and variables as are accepted, with every kind of byte.
# judged by: they arrive, and the house is well.
# args: {huge}
# env: {huge}
if [ $# -lt 200 ]; then echo "ESCAPED: only $# arguments came"; else echo CONTAINED; fi
