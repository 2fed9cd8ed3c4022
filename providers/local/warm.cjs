'use strict'
// Loaded by a parked node before its program, so that loading one is nothing new.
