"""The two ends of a benchmark's traffic, each a process of its own, so that they share no interpreter lock.

``pool`` starts them, gives each a task with the sockets that it needs, and reads what it measured; ``worker`` is what
they run, and the other modules are the tasks, an asking and an answering one each. What runs in a worker imports
nothing but the standard library's lightest modules: it starts in some 20 ms.
"""
