# SPDX-License-Identifier: Apache-2.0
"""The vocabulary of programs: untyped ones, as the frontend makes them, and typed ones, as inference does."""
