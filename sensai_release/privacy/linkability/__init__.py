"""Linkability audit: can two sessions of one person be matched by the released features alone?"""
