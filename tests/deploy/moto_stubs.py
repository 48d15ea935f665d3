"""Types of resources that moto's CloudFormation does not know, as good as a stack needs them.

They take what the template says, answer `Ref` and `GetAtt`, and keep nothing but secrets, which
other resources resolve. What AWS would refuse about them is cfn-lint's to find.
"""

import json
from typing import Any

import moto.cloudformation.parsing  # its models come first: of two of a type the last one counts
import moto.cloudformation.responses
import moto.ec2.models.vpcs
import moto.ecs.models
import moto.elbv2.models
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult
from moto.secretsmanager.models import secretsmanager_backends


class Stub(CloudFormationModel):
    """A resource that is there, under its name, with an ARN made of it."""

    TYPE = ""
    ATTRIBUTES: frozenset[str] = frozenset()

    def __init__(self, name: str, account_id: str, region: str) -> None:
        self.name = name
        self.arn = f"arn:aws:stub:{region}:{account_id}:{self.TYPE.rsplit('::', 1)[-1]}/{name}"

    @property
    def physical_resource_id(self) -> str:
        return self.name

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.TYPE

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.ATTRIBUTES

    def get_cfn_attribute(self, attribute_name: str) -> str:
        assert attribute_name in self.ATTRIBUTES, f"{self.TYPE} has no {attribute_name}"
        return self.arn if attribute_name == "Arn" else f"{self.name}.{attribute_name.lower()}"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: object,
    ) -> "Stub":
        return cls(resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "Stub",
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> "Stub":
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> None:
        return None


UNKNOWN_TO_MOTO = {
    "AWS::ApplicationAutoScaling::ScalableTarget": frozenset[str](),
    "AWS::ApplicationAutoScaling::ScalingPolicy": frozenset[str](),
    "AWS::CloudWatch::Alarm": frozenset({"Arn"}),
    # moto's own wants the image to be in a registry of its own.
    "AWS::IAM::OIDCProvider": frozenset({"Arn"}),
    "AWS::Lambda::EventInvokeConfig": frozenset[str](),
    "AWS::Lambda::Function": frozenset({"Arn"}),
    # In `Fn::Sub`, moto asks for `Endpoint` where the template says `Endpoint.Address`.
    "AWS::RDS::DBCluster": frozenset(
        {"Endpoint.Address", "Endpoint", "ReadEndpoint.Address", "ReadEndpoint"}
    ),
    # moto's own knows no engine of Aurora's.
    "AWS::RDS::DBInstance": frozenset[str](),
    "AWS::RDS::DBClusterParameterGroup": frozenset[str](),
    "AWS::RDS::EventSubscription": frozenset[str](),
    "AWS::S3::BucketPolicy": frozenset[str](),
    "AWS::SES::ConfigurationSetEventDestination": frozenset[str](),
    "AWS::SES::ConfigurationSet": frozenset[str](),
    "AWS::SES::EmailIdentity": frozenset[str](),
    "AWS::SNS::Subscription": frozenset[str](),
    "AWS::SNS::TopicPolicy": frozenset[str](),
    "AWS::SQS::QueuePolicy": frozenset[str](),
    "AWS::Scheduler::Schedule": frozenset({"Arn"}),
    "AWS::WAFv2::WebACL": frozenset({"Arn"}),
    "AWS::WAFv2::WebACLAssociation": frozenset[str](),
}


class Secret(CloudFormationModel):
    """A secret that moto's Secrets Manager really keeps."""

    @classmethod
    def cloudformation_type(cls) -> str:
        return "AWS::SecretsManager::Secret"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return False

    def __init__(self, arn: str) -> None:
        self.arn = arn

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: object,
    ) -> "Secret":
        given = cloudformation_json["Properties"]
        generated = '{"username": "deloton", "password": "generated"}'
        backend = secretsmanager_backends[account_id][region_name]
        made = backend.create_secret(
            name=resource_name,
            secret_string=given.get("SecretString", generated),
            secret_binary=None,
            description=None,
            tags=None,
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return cls(str(json.loads(made)["ARN"]))

    @classmethod
    def delete_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> None:
        backend = secretsmanager_backends[account_id][region_name]
        backend.delete_secret(resource_name, None, force_delete_without_recovery=True)


# moto finds the direct subclasses of its model, by walking them once.
STUBS = [
    type(
        name.replace("::", ""),
        (CloudFormationModel,),
        {**vars(Stub), "TYPE": name, "ATTRIBUTES": attributes},
    )
    for name, attributes in UNKNOWN_TO_MOTO.items()
]


def _full_name(resource: Any, attribute_name: str) -> str:  # noqa: ANN401
    assert attribute_name == "TargetGroupFullName"
    return "targetgroup/" + str(resource.arn).partition("targetgroup/")[2]


# The one attribute of the types it knows that moto does not tell.
moto.elbv2.models.FakeTargetGroup.get_cfn_attribute = _full_name  # type: ignore[attr-defined]


def _no_resources(*_: object) -> dict[str, Any]:
    return {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}


def _protect(self: Any) -> ActionResult:  # noqa: ANN401
    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    stack.enable_termination_protection = self._get_param("EnableTerminationProtection")
    return ActionResult({"StackId": stack.stack_id})


# moto keeps the protection that a stack is made with, and cannot change it.
_cloudformation: Any = moto.cloudformation.responses.CloudFormationResponse
_cloudformation.update_termination_protection = _protect


# It adds up the memory of containers, which on Fargate the task says for all of them.
_ecs: Any = moto.ecs.models.EC2ContainerServiceBackend
_ecs._calculate_task_resource_requirements = _no_resources


def _go(*_: object) -> None:
    """Remove nothing."""


# moto removes no route tables, and no network that has any.
moto.ec2.models.vpcs.VPC.delete_from_cloudformation_json = _go  # type: ignore[method-assign,assignment]
