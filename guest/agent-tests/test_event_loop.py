"""The event loop lives between cells."""

from __future__ import annotations

import textwrap
import time
import unittest

from host import AgentTest, Outcome, wait_for


class EventLoopTest(AgentTest):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.host.run("import asyncio")

    def cell(self, code: str) -> Outcome:
        outcome = self.host.run(textwrap.dedent(code))
        self.assert_ends(outcome, "ok", 0)
        return outcome


class ALoopIsThere(EventLoopTest):
    def test_tasks_are_made_before_they_are_awaited(self) -> None:
        outcome = self.cell("""\
            async def work(i): return i * 2
            tasks = [asyncio.create_task(work(i)) for i in range(3)]
            await asyncio.gather(*tasks)""")
        self.assertEqual(outcome.value, "[0, 2, 4]")

    def test_the_cell_that_imports_asyncio_has_the_loop_already(self) -> None:
        with self.own_agent() as host:
            outcome = host.run(
                "import sys\nprint('asyncio' in sys.modules)\nimport asyncio\n"
                "task = asyncio.create_task(asyncio.sleep(0, 'done'))\nawait task")
            self.assertEqual((outcome.stdout, outcome.value), ("False\n", "'done'"))

    def test_a_task_of_one_cell_is_awaited_in_the_next(self) -> None:
        self.cell("task = asyncio.create_task(asyncio.sleep(0.05, 'done'))")
        self.assertEqual(self.cell("await task").value, "'done'")

    def test_it_is_the_same_in_every_cell(self) -> None:
        self.cell("loop = asyncio.get_running_loop()")
        self.assertEqual(self.cell(
            "async def running(): return asyncio.get_running_loop()\n"
            "await running() is loop, asyncio.get_event_loop() is loop, loop.is_closed()").value,
            "(True, True, False)")

    def test_statements_with_and_without_await_stand_side_by_side(self) -> None:
        outcome = self.cell("""\
            async def give(x): return x
            a = await give(1)
            b = asyncio.run(give(2))
            for i in range(2):
                a += await give(i)
            async with asyncio.timeout(5):
                c = await give(3)
            a, b, c""")
        self.assertEqual(outcome.value, "(2, 2, 3)")

    def test_it_is_there_in_magics_too(self) -> None:
        self.assertEqual(self.cell("%time await asyncio.sleep(0, 'x')").value, "'x'")
        self.assertEqual(self.cell("%%time\nt = asyncio.create_task(asyncio.sleep(0, 5))\nawait t")
                         .value, "5")

    def test_magics_await_in_the_middle_of_a_coroutine(self) -> None:
        outcome = self.cell("""\
            async def give(x):
                y = %time await asyncio.sleep(0.01, x)
                return y
            other = asyncio.create_task(give(2))
            await give(1), await other""")
        self.assertEqual(outcome.value, "(1, 2)")
        self.assertEqual(outcome.stdout.count("Wall time"), 2)

    def test_context_variables_stay(self) -> None:
        self.cell("""\
            import contextvars
            var = contextvars.ContextVar('var')
            async def set_it(): var.set('set')
            await set_it()""")
        self.assertEqual(self.cell("var.get()").value, "'set'")

    def test_an_error_in_a_cell_leaves_the_loop_usable(self) -> None:
        self.assert_ends(self.host.run("await asyncio.sleep(0)\n1/0"), "error", 1)
        self.assert_ends(self.host.run("async def bad(): raise SystemExit(3)\nawait bad()"),
                         "error", 3)
        self.assertEqual(self.cell("await asyncio.sleep(0, 'well')").value, "'well'")


class TasksGoOn(EventLoopTest):
    def test_a_task_works_between_cells(self) -> None:
        self.cell("""\
            count = 0
            async def tick():
                global count
                while count < 20:
                    count += 1
                    await asyncio.sleep(0.005)
                open('ticked', 'w').close()
            ticking = asyncio.create_task(tick())""")
        wait_for((self.host.home / "ticked").exists, "20 ticks between two cells")
        self.assertEqual(self.cell("count, ticking.done()").value, "(20, True)")

    def test_a_server_answers_another_process_between_cells_and_in_the_next(self) -> None:
        self.cell("""\
            async def echo(reader, writer):
                writer.write((await reader.readline()).upper())
                await writer.drain()
                writer.close()
            server = await asyncio.start_server(echo, '127.0.0.1', 0)
            port = server.sockets[0].getsockname()[1]""")
        client = ("import socket\ns = socket.create_connection(('127.0.0.1', {port}), 10)\n"
                  "s.sendall(b'hi\\\\n'); answer = s.recv(100)\n"
                  "open('answer', 'wb').write(answer)")
        self.cell("import subprocess, sys\n"
                  f"text = '''{client}'''.replace('{{port}}', str(port))\n"
                  "child = subprocess.Popen([sys.executable, '-c', text])")
        wait_for((self.host.home / "answer").exists, "an answer between two cells")
        outcome = self.cell("""\
            child.wait()
            async def ask():
                reader, writer = await asyncio.open_connection('127.0.0.1', port)
                writer.write(b'hey\\n')
                return await reader.read()
            await ask(), asyncio.run(ask()), open('answer').read()""")
        self.assertEqual(outcome.value, "(b'HEY\\n', b'HEY\\n', 'HI\\n')")

    def test_what_a_thread_hands_to_the_loop_runs_between_cells(self) -> None:
        self.cell("""\
            import threading
            loop = asyncio.get_running_loop()
            async def mark(): open('marked', 'w').close()
            def later():
                for _ in range(3):
                    asyncio.run_coroutine_threadsafe(mark(), loop).result(30)
                open('thread', 'w').close()
            threading.Thread(target=later, daemon=True).start()""")
        wait_for((self.host.home / "thread").exists, "a coroutine from a thread")

    def test_a_loop_that_a_thread_runs_is_the_threads(self) -> None:
        with self.own_agent() as host:
            host.run(textwrap.dedent("""\
                import asyncio, threading, time
                loop = asyncio.get_event_loop()
                thread = threading.Thread(target=loop.run_forever, daemon=True); thread.start()
                count = 0
                async def tick():
                    global count
                    while True:
                        count += 1
                        open(f'tick{min(count, 100)}', 'w').close()
                        await asyncio.sleep(0.005)
                async def give(x): return x
                ticking = asyncio.run_coroutine_threadsafe(tick(), loop)"""))
            wait_for((host.home / "tick100").exists, "100 ticks between two cells")
            for code in (
                    "asyncio.run_coroutine_threadsafe(give(5), loop).result(30)", "await give(5)",
                    "asyncio.run(give(5))", "async def outer(): return asyncio.run(give(5))\n"
                    "await outer()", "asyncio.get_running_loop() is not loop and 5"):
                with self.subTest(code):
                    outcome = host.run(code)
                    self.assertEqual(outcome.value, "5", outcome.stderr)
            self.assertEqual(
                host.run("thread.is_alive(), loop.is_running(), ticking.done()").value,
                "(True, True, False)")

    def test_it_is_so_in_the_very_cell_that_starts_the_thread(self) -> None:
        for code in ("await give(5)", "asyncio.run(give(5))",
                     "asyncio.run_coroutine_threadsafe(give(5), loop).result(30)"):
            with self.subTest(code), self.own_agent() as host:
                outcome = host.run(textwrap.dedent("""\
                    import asyncio, threading
                    async def give(x): return x
                    loop = asyncio.get_event_loop()
                    runs = threading.Event(); loop.call_soon(runs.set)
                    threading.Thread(target=loop.run_forever, daemon=True).start()
                    runs.wait(30)
                    """) + code)
                self.assertEqual(outcome.value, "5", outcome.stderr)
                self.assertEqual(host.run("await give(6)").value, "6")
                self.assertEqual(host.run("loop.is_running()").value, "True")

    def test_what_is_due_in_a_thousand_years_is_waited_for_in_peace(self) -> None:
        self.cell("import math; later = asyncio.get_running_loop().call_later(1e12, print)\n"
                  "never = asyncio.create_task(asyncio.sleep(math.inf))")
        time_before = "import time; used = time.process_time()"
        self.cell(time_before)
        time.sleep(0.5)  # as the user does between two cells
        outcome = self.cell("spent = time.process_time() - used; later.cancel(); never.cancel(); spent < 0.25")
        self.assertEqual((outcome.value, outcome.stderr), ("True", ""))

    def test_what_a_task_prints_between_cells_is_not_lost(self) -> None:
        first = self.cell("""\
            async def say():
                print('said between')
                open('said', 'w').close()
            said = asyncio.create_task(say())""")
        wait_for((self.host.home / "said").exists, "the task")
        # Of this cell if it came before the agent had seen the end of it.
        self.assertIn("said between", first.stdout + self.cell("1").stdout)

    def test_a_task_that_fails_or_exits_harms_nothing(self) -> None:
        self.cell("""\
            async def leave(): raise SystemExit(3)
            async def fail(): 1/0
            leaving = asyncio.create_task(leave()); failing = asyncio.create_task(fail())""")
        self.assertEqual(self.cell("await asyncio.sleep(0, 'well')").value, "'well'")
        self.assertEqual(self.cell("type(failing.exception()).__name__").value,
                         "'ZeroDivisionError'")

    def test_a_task_that_blocks_is_broken_off_for_a_call_that_is_interrupted(self) -> None:
        with self.own_agent() as host:
            host.run("import asyncio, time\nx = 5\nasync def block():\n"
                     "    open('blocks', 'w').close()\n    time.sleep(600)\n"
                     "task = asyncio.create_task(block())")
            wait_for((host.home / "blocks").exists, "the task")
            began = time.monotonic()
            stream = host.start("print('ran')")
            host.cancel(stream, "interrupt")
            outcome = host.wait_closed(stream)
            self.assert_ends(outcome, "interrupted", 130)
            self.assertLess(time.monotonic() - began, 60)
            self.assertEqual(host.run("x").value, "5")

    def test_an_interrupt_cancels_what_is_awaited_and_no_other_task(self) -> None:
        self.cell("other = asyncio.create_task(asyncio.sleep(600))")
        stream = self.host.start_and_hear("print('on')\nawait asyncio.sleep(600)", "on")
        self.host.cancel(stream, "interrupt")
        self.assert_ends(self.host.wait_closed(stream), "interrupted", 130)
        self.assertEqual(self.cell("other.done(), other.cancel()").value, "(False, True)")


class Programs(EventLoopTest):
    """What a notebook refuses and models write."""

    def test_asyncio_run_meets_what_other_cells_have_made(self) -> None:
        self.cell("""\
            queue = asyncio.Queue(); lock = asyncio.Lock()
            async def work():
                while True:
                    got.append(await queue.get()); queue.task_done()
            got = []
            worker = asyncio.create_task(work())""")
        outcome = self.cell("""\
            async def main():
                async with lock:
                    await queue.put('item'); await queue.join()
                return len(got)
            asyncio.run(main()), asyncio.run(main()), worker.done()""")
        self.assertEqual(outcome.value, "(1, 2, False)")

    def test_asyncio_run_cancels_what_its_program_leaves(self) -> None:
        outcome = self.cell("""\
            async def main():
                return asyncio.create_task(asyncio.sleep(600))
            mine = asyncio.create_task(asyncio.sleep(600))
            left = asyncio.run(main())
            left.cancelled(), mine.done(), mine.cancel()""")
        self.assertEqual(outcome.value, "(True, False, True)")

    def test_asyncio_run_within_a_coroutine(self) -> None:
        outcome = self.cell("""\
            async def inner(): return asyncio.current_task() is not None
            async def outer():
                before = asyncio.current_task()
                value = asyncio.run(inner())
                return value, asyncio.current_task() is before
            await outer()""")
        self.assertEqual(outcome.value, "(True, True)")

    def test_loops_of_ones_own(self) -> None:
        outcome = self.cell("""\
            async def give(x): await asyncio.sleep(0); return x
            one = asyncio.get_event_loop().run_until_complete(give(1))
            loop = asyncio.new_event_loop()
            two = loop.run_until_complete(give(2)); loop.close()
            with asyncio.Runner() as runner:
                three = runner.run(give(3))
            loop = asyncio.new_event_loop(); asyncio.set_event_loop(loop)
            task = asyncio.ensure_future(give(4))
            four = loop.run_until_complete(task)
            loop.close()
            one, two, three, four""")
        self.assertEqual(outcome.value, "(1, 2, 3, 4)")
        self.assertEqual(self.cell("await give(5)").value, "5")

    def test_a_loop_that_is_run_forever_and_stopped(self) -> None:
        outcome = self.cell("""\
            loop = asyncio.get_event_loop()
            loop.call_later(0.01, loop.stop)
            loop.run_forever()
            print('stopped'); loop.close()""")
        self.assertEqual(outcome.stdout, "stopped\n")
        self.assertEqual(self.cell("await asyncio.sleep(0, 'anew')").value, "'anew'")

    def test_threads_and_forks_have_loops_of_their_own(self) -> None:
        outcome = self.cell("""\
            import multiprocessing, threading
            async def give(x): return x
            def in_thread(): got.append(asyncio.run(give('thread')))
            def in_child(_): return asyncio.run(give('child'))
            got = []
            thread = threading.Thread(target=in_thread); thread.start(); thread.join()
            with multiprocessing.get_context('fork').Pool(1) as pool:
                got += pool.map(in_child, [0])
            got""")
        self.assertEqual(outcome.value, "['thread', 'child']")

    def test_subprocesses_and_executors(self) -> None:
        outcome = self.cell("""\
            child = await asyncio.create_subprocess_exec(
                'echo', 'said', stdout=asyncio.subprocess.PIPE)
            out, _ = await child.communicate()
            out, await asyncio.to_thread(lambda: 'thread'), child.returncode""")
        self.assertEqual(outcome.value, "(b'said\\n', 'thread', 0)")

    def test_a_process_that_never_imports_asyncio_has_no_loop(self) -> None:
        with self.own_agent() as host:
            host.run("1\n2")
            self.assertEqual(
                host.run("import sys\n'asyncio' in sys.modules").value, "False")


if __name__ == "__main__":
    unittest.main()
