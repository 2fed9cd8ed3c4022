# tries: load a module or another kernel.
# judged by: one of the calls reaches the kernel.
import probe

found = []
for name, args in {"init_module": (b"\x7fELF", 4, b""), "finit_module": (-1, b"", 0), "delete_module": (b"no_such_module", 0x800), "kexec_load": (0, 0, 0, 0), "kexec_file_load": (-1, -1, 0, 0, 0)}.items():
    if probe.reached(name, *args):
        found.append(name)
probe.verdict(*found)
