# tries: foresee another run's random numbers: cells are copies of one warm process.
# judged by: two runs print the same.
# between-runs: differ
import os
import random
import secrets
import tempfile
import uuid

print("STATE random", random.random())
print("STATE instance", random.Random().random())
print("STATE urandom", os.urandom(8).hex())
print("STATE secrets", secrets.token_hex(8))
print("STATE uuid4", uuid.uuid4())
print("STATE name", tempfile.mktemp())
print("CONTAINED")
