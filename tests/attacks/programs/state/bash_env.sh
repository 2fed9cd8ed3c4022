# tries: have variables of the request run code in the house's own helpers: BASH_ENV, ENV, SHELLOPTS, PS4, functions.
# judged by: the planted script runs as another user, or sees more than the run does.
# env: BASH_ENV=/workspace/evil.sh ENV=/workspace/evil.sh SHELLOPTS=braceexpand:hashall PS4=$(sh${IFS}/workspace/evil.sh) PROMPT_COMMAND=/workspace/evil.sh BASH_FUNC_ls%%=(){${IFS}sh${IFS}/workspace/evil.sh;}
# files: evil.sh
echo CONTAINED
