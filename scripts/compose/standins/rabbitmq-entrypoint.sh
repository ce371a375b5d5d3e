#!/bin/sh
# Does for the stand-in what the official image does before it starts RabbitMQ.
set -eu
if [ "$1" = rabbitmq-server ] && [ "$(id -u)" = 0 ]; then
    chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
    exec gosu rabbitmq "$0" "$@"
fi
# The server replaces its start script, so that it is process 1 and gets the signals.
export RUNNING_UNDER_SYSTEMD=true
exec "$@"
