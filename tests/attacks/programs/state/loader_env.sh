# tries: the same by what the loader reads: LD_PRELOAD, LD_AUDIT, LD_LIBRARY_PATH, GLIBC_TUNABLES, GCONV_PATH, MALLOC_*.
# judged by: the run says its word (or fails); no helper of the house loads the file.
# env: LD_PRELOAD=/workspace/evil.so LD_AUDIT=/workspace/evil.so LD_LIBRARY_PATH=/workspace GLIBC_TUNABLES=glibc.malloc.mxfast=glibc.malloc.mxfast=A GCONV_PATH=/workspace LOCPATH=/workspace TMPDIR=/nowhere
# expect: outcome in COMPLETED,FAILED
echo CONTAINED
