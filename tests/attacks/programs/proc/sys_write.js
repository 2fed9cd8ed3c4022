// tries: open the kernel's objects in /sys for writing, and read what belongs to the host alone.
// judged by: one opens.
const fs = require('fs');
const found = [];
for (const path of ['/sys/kernel/uevent_helper', '/sys/power/state', '/sys/kernel/mm/transparent_hugepage/enabled', '/sys/module/kernel/parameters/panic', '/sys/fs/cgroup/release_agent',
  '/sys/fs/cgroup/cgroup.procs', '/sys/fs/cgroup/memory/release_agent', '/sys/fs/cgroup/devices/devices.allow', '/sys/kernel/kexec_crash_size', '/sys/block/vda/queue/scheduler', '/sys/class/net/eth0/mtu']) {
  try { fs.closeSync(fs.openSync(path, 'r+')); found.push(path); } catch {}
}
for (const path of ['/sys/kernel/debug', '/sys/kernel/tracing', '/sys/kernel/security', '/sys/firmware/dmi/tables', '/sys/firmware/efi', '/sys/fs/bpf', '/sys/class/dmi/id/product_uuid', '/sys/block/vda']) {
  try { if (fs.statSync(path).isDirectory() ? fs.readdirSync(path).length : fs.readFileSync(path).length) found.push('reads ' + path); } catch {}
}
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
