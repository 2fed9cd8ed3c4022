# tries: have a capability, or a way to get one.
# judged by: any set is not empty, no_new_privs or the filter is off.
import probe

status = probe.status()
found = [f"{name} {status[name].strip()}" for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd") if int(status[name], 16)]
if status["NoNewPrivs"].strip() != "1":
    found.append("new privileges")
if status["Seccomp"].strip() != "2":
    found.append("no filter")
probe.verdict(*found)
