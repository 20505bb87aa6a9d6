# Prints the lines of the files at PF_PATH that match PF_PATTERN, with name and number.
if ! [ -e "$PF_PATH" ]; then
    echo "there is no $PF_PATH. List what is there, and call again with a path of it" >&2
    exit 2
fi
# Lines of minified files say nothing, and cost much.
grep --recursive --line-number --with-filename --binary-files=without-match --perl-regexp \
    --exclude-dir=.git --exclude-dir=node_modules \
    --regexp="$PF_PATTERN" -- "$PF_PATH" | cut -c 1-2000 | head -c 102400
status=${PIPESTATUS[0]}
case $status in
1) echo "no line matches" ;;
141) echo "[there are more. Ask for a narrower pattern or path]" ;;
esac
[ "$status" != 2 ]
