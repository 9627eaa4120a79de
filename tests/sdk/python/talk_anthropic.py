"""The Anthropic SDK."""

import json

import anthropic
from talk import API_KEY, AT_ONCE, BASE_URL, CAT, CITY, IN_TURN, PDF, PNG, pause, weather

client = anthropic.Anthropic(base_url=BASE_URL, api_key=API_KEY)
errors = anthropic.APIError
tools = [{"name": "weather", "input_schema": CITY}]


def ask(model, stream, messages, **more):
    more.setdefault("max_tokens", 500)
    if not stream:
        return client.messages.create(model=model, messages=messages, **more)
    with client.messages.stream(model=model, messages=messages, **more) as events:
        return events.get_final_message()


def seen(answer):
    said = "".join(block.text for block in answer.content if block.type == "text")
    return {"text": said, "tokens": [answer.usage.input_tokens, answer.usage.output_tokens]}


def send(arguments, _):
    """Any request; what came of it besides the answer."""
    raw = client.messages.with_raw_response.create(**arguments)
    return {"text": raw.parse().content[0].text, "loss": raw.headers.get("x-weir-loss")}


def user(content):
    return {"role": "user", "content": content}


def show(model, stream, part):
    return seen(ask(model, stream, [user([{"type": "text", "text": "What is this?"}, part])]))


def text(model, stream):
    return seen(ask(model, stream, [user("Say hello.")], system="Be brief."))


def with_tools(model, stream, question):
    messages = [user(question)]
    while True:
        answer = ask(model, stream, messages, tools=tools)
        if answer.stop_reason != "tool_use":
            return seen(answer)
        messages.append({"role": "assistant", "content": answer.content})
        calls = [block for block in answer.content if block.type == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": weather(**call.input)} for call in calls
        ]
        messages.append(user(results))


def tools_in_turn(model, stream):
    return with_tools(model, stream, IN_TURN)


def tools_at_once(model, stream):
    return with_tools(model, stream, AT_ONCE)


def image_url(model, stream):
    return show(model, stream, {"type": "image", "source": {"type": "url", "url": CAT}})


def image_base64(model, stream):
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    return show(model, stream, {"type": "image", "source": source})


def document(model, stream):
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    return show(model, stream, {"type": "document", "source": source})


def schema(model, stream):
    form = {"format": {"type": "json_schema", "schema": CITY}}
    answer = seen(ask(model, stream, [user("Where?")], output_config=form))
    return {**answer, "text": json.loads(answer["text"])["city"]}


ENDS = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}


def read(model, stream):
    """An answer in whatever form it comes, in the words of the other dialect."""
    answer = ask(model, stream, [user("Say hello.")])
    calls = [[block.name, block.input] for block in answer.content if block.type == "tool_use"]
    said = seen(answer)
    finish = ENDS.get(answer.stop_reason, answer.stop_reason)
    return {"text": said["text"], "finish": finish, "usage": said["tokens"], "calls": calls}


def thinking(model, stream):
    messages, more = [user("Think.")], {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
    first = ask(model, stream, messages, **more)
    messages += [{"role": "assistant", "content": first.content}, user("Again.")]
    pause()
    answer = seen(ask(model, stream, messages, **more))
    return {**answer, "thought": "".join(block.thinking for block in first.content if block.type == "thinking")}


def cut(model, stream):
    """A stream that ends with an error: what came before it, and what was raised."""
    pieces = ""
    try:
        with client.messages.stream(model=model, messages=[user("Say hello.")], max_tokens=500) as events:
            for piece in events.text_stream:
                pieces += piece
    except errors as error:
        return {"text": pieces, "raised": type(error).__name__}
