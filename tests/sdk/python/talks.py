"""Runs conversations of one library: a case a line comes in as JSON, and what came of it goes out.

With `told` also what a user reads of an error, and when to come back.
"""

import importlib
import json
import sys

library = importlib.import_module(f"talk_{sys.argv[1]}")
for line in sys.stdin:
    case = json.loads(line)
    try:
        seen = getattr(library, case["case"])(case["model"], case["stream"])
    except library.errors as error:
        seen = {"raised": type(error).__name__, "status": getattr(error, "status_code", None)}
        if case.get("told"):
            seen |= {"message": str(error), "retry_after": error.response.headers.get("retry-after")}
    print(json.dumps(seen), flush=True)
