#!/bin/sh
# A host with nothing but cron on it. Installs drtool as a user does, beside a line that is there already, runs the
# daemon until its input ends, and removes drtool again.
#   cron_host.sh DIRECTORY CONFIGURATION DRTOOL LIBFAKETIME apart|here
# apart: run by unshare. here: on a machine that has neither a crontab of this user nor a daemon.
set -eu
directory=$1 config=$2 drtool=$3 faketime=$4 where=$5

if [ "$where" = apart ]; then
    # Of the machine's own crontabs cron must see, and crontab change, none.
    mount -t tmpfs -o "mode=1730,gid=$(getent group crontab | cut -d: -f3)" none /var/spool/cron/crontabs
    mount -t tmpfs none /etc/cron.d
    mount --bind /dev/null /etc/crontab
    mount -t tmpfs none /run
else
    trap 'crontab -r' EXIT
fi

printf '# mine: 100%%\n7 7 7 7 * true\n' >"$directory/before"
crontab "$directory/before"
"$drtool" --config "$config" schedule install --cron --yes >"$directory/install.out"
crontab -l >"$directory/installed"

# To cron it is five seconds before a full minute, and the next one is a minute away.
LD_PRELOAD=$faketime FAKETIME="$(date '+@%Y-%m-%d %H:%M:55')" cron -f &
cron=$!
trap 'kill "$cron"; wait "$cron" || true; [ "$where" = apart ] || crontab -r' EXIT
read -r _ || true

"$drtool" --config "$config" schedule remove --yes >"$directory/remove.out"
crontab -l >"$directory/after"
