"""How a run was measured, in words for a reader new to it. Pure."""

from __future__ import annotations

MEASURED = (
    "Did measuring change the run?",
    "No. Derivatives are taken through the graph of the run's own forward pass, between it and the "
    "backward pass. Weights, gradients, running statistics and random numbers are the same to the last "
    "bit with and without it.",
)
WHEN = (
    "When was it measured?",
    "The loss at every step. The rest densely in the first steps and after a spike of the loss, then "
    "whenever an instrument has saved up for it: cheap ones often, dear ones seldom. Each series keeps "
    "512 points, the recent ones densely.",
)
FINDINGS = (
    "Where do findings come from?",
    "From rules over the readings, relative to the run's own history and to what a constant output "
    "would cost. A run that trains well is left alone. Nothing found does not mean that nothing could "
    "be better.",
)
CURVATURE = (
    "What are g and H?",
    "g is the gradient of the minibatch's cost and H its Hessian, the matrix of second derivatives. "
    "gᵀg is the squared length of the gradient, gᵀHg the curvature along it. Source: Goodfellow, Bengio "
    "and Courville, Deep Learning, 2016, section 8.2.1.",
)
SPECTRUM = (
    "How are eigenvalues found without the Hessian?",
    "By products of the Hessian with vectors (Lanczos iteration), each as dear as two backward passes, "
    "on the minibatch of that step. The ends of the spectrum come out first and most exactly.",
)
NOISE = (
    "How is gradient noise measured?",
    "A minibatch is dealt into parts, and the scatter of their gradients gives the variance of one "
    "example's gradient. Divided by the squared length of the true gradient it is the noise scale. "
    "Source: McCandlish, Kaplan, Amodei et al., An Empirical Model of Large-Batch Training, 2018.",
)
LAYERS = (
    "What do the maps of layers show?",
    "Gradients and updates by parameter, as the model names them; outputs by layer, over all units and "
    "the minibatch. In a network that trains well, lengths stay within a few powers of ten from first "
    "to last layer. Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward "
    "neural networks, 2010.",
)
SLICE = (
    "Which slice of the landscape is shown?",
    "Weights were kept at up to 64 steps, evenly spaced. Principal components of their way about its "
    "end give the two directions, with every filter measured in units of its final length; biases and "
    "the parameters of norms stay as they were at the end. The cost is that of up to 256 training "
    "examples in evaluation mode. A plane shows little of a space with thousands of directions: a run "
    "that seems to climb may have gone around. Source: Li, Xu, Taylor, Studer and Goldstein, Visualizing "
    "the Loss Landscape of Neural Nets, 2018.",
)
