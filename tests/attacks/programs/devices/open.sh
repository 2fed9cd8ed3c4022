# tries: open the devices by which a host is taken over.
# judged by: one opens.
found=
for path in /dev/mem /dev/kmem /dev/port /dev/kvm /dev/fuse /dev/net/tun /dev/vhost-net /dev/vhost-vsock /dev/vsock /dev/loop-control /dev/loop0 /dev/mapper/control /dev/uinput \
  /dev/kmsg /dev/sda /dev/vda /dev/nvme0n1 /dev/console /dev/tty0 /dev/watchdog /dev/rtc0 /dev/hpet /dev/snapshot /dev/autofs /dev/cuse /dev/dri/card0 /dev/nvram /dev/btrfs-control /dev/cpu_dma_latency; do
  if (exec 9<"$path") 2>/dev/null; then found="$found $path"; fi
done
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
