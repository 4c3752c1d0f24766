"""Serverless endpoints: real instances behind CreateEndpoint, UpdateEndpoint and InvokeEndpoint.

``aws.sagemaker.endpoints`` keeps what the calls describe; ``changes`` carries out what they ask for;
``invocations`` serves requests through ``fleet``, which has a ``pool`` of ``instance`` processes for each
endpoint.
"""
