# tries: watch every file of the host by fanotify.
# judged by: a watch can be made.
import probe

probe.verdict(*(flags for flags in (0, 0x4, 0x8, 0x200, 0x600) if probe.call("fanotify_init", flags, 0) >= 0))
