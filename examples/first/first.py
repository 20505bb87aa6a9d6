from podflare import Sandbox

with Sandbox() as sandbox:
    sandbox.run_code("import math; x = 20")
    print(sandbox.run_code("math.factorial(x)").text)               # the process, with its variables, is still there
    print(sandbox.run_code("1 / 0").error.name)                     # an exception ends the call, never the process
    print(sandbox.run_code("uname -r", language="bash").stdout)     # a kernel of its own
