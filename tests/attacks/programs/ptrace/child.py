# tries: trace a child of its own, which lets a tracer change system calls after the filter saw them.
# judged by: tracing is allowed at all.
import probe

probe.verdict("PTRACE_TRACEME" if probe.in_child(lambda: probe.call("ptrace", 0, 0, 0, 0) == 0) == 0 else "")
