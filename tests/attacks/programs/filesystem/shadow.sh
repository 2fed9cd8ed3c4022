# tries: read the host's password hashes, keys and policies.
# judged by: any of them can be read.
found=
for path in /etc/shadow /etc/gshadow /etc/shadow- /etc/sudoers /etc/ssh/ssh_host_rsa_key /etc/ssh/ssh_host_ed25519_key /etc/krb5.keytab /etc/machine-id; do
  if head -c 1 "$path" >/dev/null 2>&1; then found="$found $path"; fi
done
if [ -n "$found" ]; then echo "ESCAPED: read$found"; else echo CONTAINED; fi
