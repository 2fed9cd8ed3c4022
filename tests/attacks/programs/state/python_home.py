# tries: point the interpreter at a library of the attacker's: PYTHONHOME.
# judged by: the run fails or runs; the house is well.
# env: PYTHONHOME=/workspace
# expect: outcome in COMPLETED,FAILED,KILLED
print("CONTAINED")
