# tries: raise the limits that the run was given.
# judged by: a hard limit is another one afterwards.
import resource

import probe

found = []
for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RTPRIO", "SIGPENDING", "STACK"):
    kind = getattr(resource, "RLIMIT_" + name)
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY:
        continue
    for higher in (hard + 1, resource.RLIM_INFINITY):
        try:
            resource.setrlimit(kind, (soft, higher))
            if resource.getrlimit(kind)[1] != hard:
                found.append(f"{name} from {hard} to {higher}")
        except (ValueError, OSError):
            pass
probe.verdict(*found)
