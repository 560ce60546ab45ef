# SPDX-License-Identifier: Apache-2.0
"""What the system tests are made of: tenon as a process, raw clients, scripted servers, load."""
