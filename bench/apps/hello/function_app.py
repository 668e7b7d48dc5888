"""The benchmark's function app: a chain of three activities, and a fan-out over one."""

import azure.durable_functions as df

CITIES = ("Tokyo", "Seattle", "London")

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def hello_chain(context: df.DurableOrchestrationContext):
    greetings = []
    for city in CITIES:
        greeting = yield context.call_activity("say_hello", city)
        greetings.append(greeting)
    return greetings


@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext):
    width = context.get_input()["width"]
    greetings = yield context.task_all([context.call_activity("say_hello", str(n)) for n in range(width)])
    return greetings


@app.activity_trigger(input_name="name")
def say_hello(name: str) -> str:
    return f"Hello {name}!"
