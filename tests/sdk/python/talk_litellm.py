"""LiteLLM, which calls every provider by one function."""

import os

# Its prices come with the package; it would fetch newer ones.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
from talk import API_KEY, BASE_URL

# It would print where to get help, between the lines of what it saw.
litellm.suppress_debug_info = True
errors = openai.APIError


def text(model, stream):
    messages = [{"role": "user", "content": "Say hello."}]
    answer = litellm.completion(
        model=f"openai/{model}", api_base=BASE_URL + "/v1", api_key=API_KEY, messages=messages, stream=stream
    )
    if stream:
        answer = litellm.stream_chunk_builder(list(answer), messages=messages)
    usage = answer.usage
    return {"text": answer.choices[0].message.content, "tokens": [usage.prompt_tokens, usage.completion_tokens]}
