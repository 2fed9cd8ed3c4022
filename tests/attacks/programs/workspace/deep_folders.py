# tries: break the server's walk and its removal by 10,000 nested directories.
# judged by: listing and removal end; the next run is well.
# home: yes
# lists: .
# limits: wall_ms=10000
import os

for _ in range(10_000):
    try:
        os.mkdir("d")
        os.chdir("d")
    except OSError:  # a quota may stop it earlier
        break
print("CONTAINED", flush=True)
os._exit(0)  # the working directory is deeper than any path can say
