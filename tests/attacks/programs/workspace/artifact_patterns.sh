# tries: bring the server down by patterns that explode.
# judged by: the answer comes promptly, and only what is asked for is brought back, promptly.
# artifacts: **/**/**/**/**/**/**/**/**/z.txt {a,b}.txt [!x]k.txt ok.txt
# brings: ok.txt
echo ok >ok.txt
mkdir -p a/a/a/a/a/a/a/a/a/a b/b/b/b/b/b/b/b
echo CONTAINED
