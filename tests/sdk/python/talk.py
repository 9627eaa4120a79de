"""What all conversations have in common: the questions, the tool, and the world that it reports of."""

import json
import os
import sys

BASE_URL = os.environ["BASE_URL"]
API_KEY = os.environ["API_KEY"]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
CAT = "https://example.com/cat.png"
IN_TURN = "The weather in Bern, then in Basel?"
AT_ONCE = "The weather in Bern and in Basel?"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def weather(city):
    return f"sunny in {city}"


def pause():
    """Lets the other side of this program change the world between two turns."""
    print(json.dumps({"paused": True}), flush=True)
    sys.stdin.readline()
