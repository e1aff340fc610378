"""Encoders: texts become unit vectors whose dot product says how near they are in meaning.

One protocol (`encoder.py`), three kinds of encoder, and a store of vectors shared by processes. Which one is
used is chosen at the doors (`choose.py`); nothing here reads settings, and nothing heavy loads with the
package.
"""
