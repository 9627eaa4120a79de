"""LangChain, in the words that it has for every provider."""

import functools
import operator

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from talk import AT_ONCE, CAT, CITY, IN_TURN, PDF, PNG, pause
from talk import weather as report


def conversations(chat, thinker):
    """The cases, for a function that makes a chat model and one that makes a model that thinks."""

    def ask(model, stream, messages):
        if not stream:
            return model.invoke(messages)
        return functools.reduce(operator.add, model.stream(messages))

    def seen(answer):
        usage = answer.usage_metadata
        return {"text": answer.text, "tokens": [usage["input_tokens"], usage["output_tokens"]]}

    def show(model, stream, part):
        question = HumanMessage([{"type": "text", "text": "What is this?"}, part])
        return seen(ask(chat(model), stream, [question]))

    def text(model, stream):
        return seen(ask(chat(model), stream, [SystemMessage("Be brief."), HumanMessage("Say hello.")]))

    def with_tools(model, stream, question):
        tool = {"title": "weather", "description": "Tells the weather.", **CITY}
        model, messages = chat(model).bind_tools([tool]), [HumanMessage(question)]
        while True:
            answer = ask(model, stream, messages)
            if not answer.tool_calls:
                return seen(answer)
            messages.append(answer)
            for call in answer.tool_calls:
                messages.append(ToolMessage(report(**call["args"]), tool_call_id=call["id"]))

    def tools_in_turn(model, stream):
        return with_tools(model, stream, IN_TURN)

    def tools_at_once(model, stream):
        return with_tools(model, stream, AT_ONCE)

    def image_url(model, stream):
        return show(model, stream, {"type": "image", "url": CAT})

    def image_base64(model, stream):
        return show(model, stream, {"type": "image", "base64": PNG, "mime_type": "image/png"})

    def document(model, stream):
        return show(model, stream, {"type": "file", "base64": PDF, "mime_type": "application/pdf", "filename": "a.pdf"})

    def schema(model, stream):
        model = chat(model).with_structured_output({"title": "place", **CITY}, method="json_schema", include_raw=True)
        answer = model.invoke([HumanMessage("Where?")])
        return {**seen(answer["raw"]), "text": answer["parsed"]["city"]}

    def thinking(model, stream):
        model, messages = thinker(model), [HumanMessage("Think.")]
        messages += [ask(model, stream, messages), HumanMessage("Again.")]
        pause()
        return seen(ask(model, stream, messages))

    return {name: case for name, case in locals().items() if name not in {"chat", "thinker"}}
