"""Serverless endpoints: real instances behind CreateEndpoint, UpdateEndpoint and InvokeEndpoint.

``calls`` keeps what the calls describe in ``records``; ``running`` carries out what they ask for;
``invocations`` serves requests through ``fleet``, which has a ``pool`` of ``instance`` processes for each
endpoint.
"""
