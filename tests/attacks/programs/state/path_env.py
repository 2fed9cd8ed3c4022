# tries: have the house start the attacker's program by PATH, HOME and a shell of the request's.
# judged by: the interpreter is the system's own.
# env: PATH=/workspace:/usr/bin:/bin HOME=/proc/1 SHELL=/workspace/evil.sh PWD=/etc USER=root IFS=/ TZ=:/etc/shadow
# files: python3 evil.sh
import sys

print("CONTAINED" if sys.executable != "/workspace/python3" and sys.executable else "ESCAPED: " + sys.executable)
