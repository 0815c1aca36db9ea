"""Values shared by the route agent's parts: FIB objects, links. PURE, imports only `bgp.nlri`."""
