# tries: artifacts whose names hold newlines, bytes that are not UTF-8 and shell words.
# judged by: they come back or not; the server stays well, and nothing of their names is run.
# artifacts: *
# brings: *
printf x >$'a\nb'; printf x >$'\xff'; printf x >'$(touch owned)'; printf x >'; touch owned'; printf x >-n
echo CONTAINED
