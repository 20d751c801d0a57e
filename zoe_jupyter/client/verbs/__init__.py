"""The verb table: each verb is one function with its arguments declared, and returns what to show as plain records.

Must not live here: how it is shown (``client.text``, ``magics.html``) or what needs a kernel (``attach.verbs``).
"""
