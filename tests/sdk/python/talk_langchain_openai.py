"""LangChain's chat model for OpenAI."""

import openai
from langchain_openai import ChatOpenAI
from talk import API_KEY, BASE_URL
from talk_langchain import conversations

errors = openai.APIError


def chat(model, **more):
    return ChatOpenAI(model=model, base_url=BASE_URL + "/v1", api_key=API_KEY, stream_usage=True, **more)


globals().update(conversations(chat, lambda model: chat(model, reasoning_effort="low")))
