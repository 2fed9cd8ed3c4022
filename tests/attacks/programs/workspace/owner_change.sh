# tries: give files to root and to other users, and make them setuid for them.
# judged by: the owner changes.
echo x >f
found=
for owner in 0:0 root 1:1 65534:65534 1000:1000; do
  before=$(stat -c %u:%g f)
  if chown "$owner" f 2>/dev/null && [ "$(stat -c %u:%g f)" != "$before" ]; then found="$found $owner"; fi
done
if [ -n "$found" ]; then echo "ESCAPED: chown to$found"; else echo CONTAINED; fi
