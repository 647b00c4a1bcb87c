#!/bin/sh
# Questions to "lodiag conns --json", answered with jq. Usage: conns-jq.sh PORT
set -eu
port=${1:?usage: conns-jq.sh PORT}
report=$(lodiag conns --json)

echo "Who serves port $port:"
printf '%s\n' "$report" | jq -r --argjson port "$port" '
  .records[] | select(.state == "listen" and .local.port == $port)
  | "\(.local.address) \([.owners[]? | "\(.process)[\(.pid)]"] | join(" "))"'

echo "Listeners that other hosts may reach too:"
printf '%s\n' "$report" | jq -r '.records[] | select(.scope == "wildcard") | "\(.proto) \(.local.port)"' | sort -u

echo "Sockets by state:"
printf '%s\n' "$report" | jq -r '.summary.counts[] | "\(.sockets) \(.proto) \(.state)"'
