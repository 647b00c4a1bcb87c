#!/bin/sh
# Questions to "lodiag conns --json", answered with jq. Usage: conns-jq.sh PORT
set -eu
port=${1:?usage: conns-jq.sh PORT}
report=$(lodiag conns --json)

echo "Who serves port $port:"
echo "$report" | jq -r --argjson port "$port" '
  .records[] | select(.state == "listen" and .local.port == $port)
  | "\(.local.address) \([.owners[]? | "\(.process)[\(.pid)]"] | join(" "))"'

echo "Listeners that other hosts may reach too:"
echo "$report" | jq -r '.records[] | select(.scope == "wildcard") | "\(.proto) \(.local.port)"' | sort -u

echo "Sockets by state:"
echo "$report" | jq -r '.summary.counts[] | "\(.sockets) \(.proto) \(.state)"'
