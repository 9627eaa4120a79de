"""The OpenAI SDK."""

import json

import openai
from talk import API_KEY, AT_ONCE, BASE_URL, CAT, CITY, IN_TURN, PDF, PNG, pause, weather

client = openai.OpenAI(base_url=BASE_URL + "/v1", api_key=API_KEY)
errors = openai.APIError
tools = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]


def ask(model, stream, messages, **more):
    if not stream:
        return client.chat.completions.create(model=model, messages=messages, **more)
    more["stream_options"] = {"include_usage": True}
    with client.chat.completions.stream(model=model, messages=messages, **more) as events:
        return events.get_final_completion()


def seen(answer):
    usage = answer.usage
    return {"text": answer.choices[0].message.content, "tokens": [usage.prompt_tokens, usage.completion_tokens]}


def send(arguments, _):
    """Any request; what came of it besides the answer."""
    raw = client.chat.completions.with_raw_response.create(**arguments)
    return {"text": raw.parse().choices[0].message.content, "loss": raw.headers.get("x-weir-loss")}


def user(content):
    return {"role": "user", "content": content}


def show(model, stream, part):
    return seen(ask(model, stream, [user([{"type": "text", "text": "What is this?"}, part])]))


def text(model, stream):
    return seen(ask(model, stream, [{"role": "system", "content": "Be brief."}, user("Say hello.")]))


def with_tools(model, stream, question):
    messages = [user(question)]
    while True:
        answer = ask(model, stream, messages, tools=tools)
        message = answer.choices[0].message
        if answer.choices[0].finish_reason != "tool_calls":
            return seen(answer)
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            found = weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


def tools_in_turn(model, stream):
    return with_tools(model, stream, IN_TURN)


def tools_at_once(model, stream):
    return with_tools(model, stream, AT_ONCE)


def image_url(model, stream):
    return show(model, stream, {"type": "image_url", "image_url": {"url": CAT}})


def image_base64(model, stream):
    return show(model, stream, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}})


def document(model, stream):
    file = {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    return show(model, stream, {"type": "file", "file": file})


def schema(model, stream):
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": CITY, "strict": True}}
    answer = seen(ask(model, stream, [user("Where?")], response_format=form))
    return {**answer, "text": json.loads(answer["text"])["city"]}


def thinking(model, stream):
    messages = [user("Think.")]
    first = ask(model, stream, messages, reasoning_effort="low").choices[0].message
    messages += [first.model_dump(exclude_none=True), user("Again.")]
    pause()
    answer = seen(ask(model, stream, messages, reasoning_effort="low"))
    return {**answer, "thought": first.model_extra["reasoning_content"]}


def arguments(given):
    """Some servers give an object, which the SDK lets pass."""
    return given if isinstance(given, str) else json.dumps(given) if given else ""


def read(model, stream):
    """An answer in whatever form it comes, as a user's loop reads it."""
    text, finish, usage, calls = "", None, None, {}
    more = {"stream_options": {"include_usage": True}} if stream else {}
    answer = client.chat.completions.create(model=model, messages=[user("Say hello.")], stream=stream, **more)
    for part in answer if stream else [answer]:
        usage = part.usage or usage
        for choice in part.choices:
            piece = choice.delta if stream else choice.message
            text += piece.content or ""
            finish = choice.finish_reason or finish
            for place, call in enumerate(piece.tool_calls or []):
                held = calls.setdefault(call.index if stream else place, {"id": None, "name": "", "arguments": ""})
                held["id"] = held["id"] or call.id
                held["name"] += call.function.name or ""
                held["arguments"] += arguments(call.function.arguments)
    calls = [[call["name"], json.loads(call["arguments"] or "{}")] for call in calls.values()]
    tokens = usage and [usage.prompt_tokens, usage.completion_tokens]
    return {"text": text, "finish": finish, "usage": tokens, "calls": calls}


def cut(model, stream):
    """A stream that ends with an error: what came before it, and what was raised."""
    pieces = ""
    try:
        for chunk in client.chat.completions.create(model=model, messages=[user("Say hello.")], stream=True):
            pieces += "".join(choice.delta.content or "" for choice in chunk.choices)
    except errors as error:
        return {"text": pieces, "raised": type(error).__name__}
