"""One call a run, written as a user of the OpenAI SDK writes it; prints what came of it as JSON."""

import json
import os
import sys

import openai


def credential():
    """An API key as it is, or the token that the file holds now: kubelet rotates it."""
    path = os.environ.get("TOKEN_FILE")
    if path is None:
        return os.environ["API_KEY"]
    return lambda: open(path).read().strip()


client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key=credential())
messages = [{"role": "user", "content": "Say hello."}]
weather = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def chat(model):
    answer = client.chat.completions.create(model=model, messages=messages)
    return {"text": answer.choices[0].message.content, "tokens": answer.usage.total_tokens}


def priority(model):
    answer = client.chat.completions.create(model=model, messages=messages, service_tier="priority")
    return {"tier": answer.service_tier}


def stream(model):
    seen = {"pieces": [], "tokens": None}
    with client.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        for chunk in chunks:
            seen["pieces"] += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            if chunk.usage:
                seen["tokens"] = chunk.usage.total_tokens
    return seen


def stream_error(model):
    pieces = []
    try:
        for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    except openai.APIError as error:
        return {"pieces": pieces, **raised(error)}
    return {"pieces": pieces, "raised": None}


def tool(model):
    answer = client.chat.completions.create(model=model, messages=messages, tools=[weather])
    function = answer.choices[0].message.tool_calls[0].function
    return {"name": function.name, "arguments": json.loads(function.arguments)}


def tool_stream(model):
    name, arguments = "", ""
    for chunk in client.chat.completions.create(model=model, messages=messages, tools=[weather], stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    return {"name": name, "arguments": json.loads(arguments)}


def models(_):
    return {"models": [model.id for model in client.models.list()]}


def twice(model):
    """Two chats in one process; between them the caller of this program may rotate the token."""
    print(json.dumps(chat(model)), flush=True)
    sys.stdin.readline()
    return chat(model)


def raised(error):
    return {
        "raised": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": error.code,
        "message": error.message,
    }


case, model = sys.argv[1:]
try:
    print(json.dumps(globals()[case](model)))
except openai.APIError as error:
    print(json.dumps(raised(error)))
