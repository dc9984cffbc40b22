"""The networks of the lectures, and the door through which a user's own network comes in.

``recipe`` is the noun, ``recipes_*`` the facts of each lecture, ``scinet``, ``psc`` and ``wolter`` the
factories that build the Keras models (``layers`` is what they share), ``registry`` the lookup. Only the
factories import Keras; listing the zoo does not.
"""
