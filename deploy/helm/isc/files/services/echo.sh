#!/bin/sh
# The parameters are a JSON object, and so is the result.
printf '{"params": %s}\n' "$(cat "$ISC_PARAMS")" >"$ISC_RESULT"
